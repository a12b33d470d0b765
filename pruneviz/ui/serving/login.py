"""The page that asks for the token or password: one file, nothing loaded from elsewhere."""

from __future__ import annotations

from html import escape
from pathlib import Path

POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
_LOGO = Path(__file__).parents[1] / "frame" / "logo.svg"
_HINT = {
    False: (
        "The terminal where PruneViz was started shows an address that ends with the token. "
        "Open that address to skip this page."
    ),
    True: "Whoever shared this studio with you knows it.",
}
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>PruneViz</title>
<style>
:root {{ color-scheme: light dark; --text: #31333f; --soft: #5d5f6b; --page: #fff;
  --field: #f0f2f6; --line: #d5d6db; --accent: #0072b2; --accent-text: #fff;
  --wrong: #9e2b25; --wrong-page: #ffecec; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --text: #fafafa; --soft: #b4b6bf; --page: #0e1117; --field: #262730; --line: #41444e;
    --accent: #3f9bd6; --accent-text: #06121b; --wrong: #ffb4ae; --wrong-page: #3e1e1c; }} }}
* {{ box-sizing: border-box; }}
body {{ margin: 0; min-height: 100vh; display: flex; align-items: center; justify-content: center;
  padding: 1.5rem; background: var(--page); color: var(--text);
  font: 1rem/1.5 "Source Sans", "Source Sans Pro", "Source Sans 3", Helvetica, Arial, sans-serif; }}
main {{ width: 100%; max-width: 24rem; }}
h1 {{ font-size: 1.6rem; line-height: 1.2; margin: 1.4rem 0 0.4rem; }}
p {{ margin: 0 0 1.2rem; color: var(--soft); }}
label {{ display: block; font-size: 0.875rem; margin-bottom: 0.25rem; }}
input {{ width: 100%; font: inherit; color: inherit; padding: 0.5rem 0.75rem; border-radius: 0.5rem;
  border: 1px solid var(--line); background: var(--field); }}
input:focus-visible, button:focus-visible {{ outline: 2px solid var(--accent);
  outline-offset: 2px; }}
button {{ width: 100%; margin-top: 0.9rem; font: inherit; padding: 0.5rem 0.75rem; cursor: pointer;
  border: 0; border-radius: 0.5rem; background: var(--accent); color: var(--accent-text); }}
.wrong {{ color: var(--wrong); background: var(--wrong-page); border-radius: 0.5rem;
  padding: 0.6rem 0.8rem; margin: 0 0 1rem; }}
</style>
</head>
<body>
<main>
{logo}
<h1>This studio is shared</h1>
<p>Enter the {asked} to come in. This browser is remembered for a month.</p>
{said}<form method="post">
<label for="secret">{label}</label>
<input id="secret" name="secret" type="password" autocomplete="current-password" required autofocus
  aria-describedby="hint">
<button type="submit">Come in</button>
</form>
<p id="hint" style="margin: 1rem 0 0; font-size: 0.875rem">{hint}</p>
</main>
</body>
</html>
"""


def page(said: str, *, with_password: bool) -> str:
    """Return the page, with what there is to say about the last try."""
    asked = "password" if with_password else "token"
    logo = _LOGO.read_text(encoding="utf-8")
    return _PAGE.format(
        logo=logo.replace("<svg ", '<svg role="img" aria-label="PruneViz" ', 1),
        asked=asked,
        label=asked.capitalize(),
        said=f'<p class="wrong" role="alert">{escape(said)}</p>\n' if said else "",
        hint=_HINT[with_password],
    )
