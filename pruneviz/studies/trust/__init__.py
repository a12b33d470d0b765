"""The trust meter: what an accuracy without training says of the one after fine-tuning."""

from pruneviz.studies.trust.result import PREDICTORS, Rejected, Trust, TrustPoint, stored_trust

__all__ = ["PREDICTORS", "Rejected", "Trust", "TrustPoint", "stored_trust"]
