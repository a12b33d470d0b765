"""A session as a recipe: every decision as a step that can be done again without a screen."""

from pruneviz.recipe.apply import Applied, apply_recipe
from pruneviz.recipe.notebook import notebook_of
from pruneviz.recipe.recipe import Recipe, Step
from pruneviz.recipe.write import recipe_of_decisions, recipe_of_run

__all__ = [
    "Applied",
    "Recipe",
    "Step",
    "apply_recipe",
    "notebook_of",
    "recipe_of_decisions",
    "recipe_of_run",
]
