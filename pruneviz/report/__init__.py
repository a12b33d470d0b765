"""What came of a pruning, to be shown to others: a page, a picture, a model card."""

from pruneviz.report.card import share_card
from pruneviz.report.facts import Facts, Stage, gather
from pruneviz.report.model_card import model_card
from pruneviz.report.page import report_html

__all__ = ["Facts", "Stage", "gather", "model_card", "report_html", "share_card"]
