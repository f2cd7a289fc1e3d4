"""How good a face's picture is."""

from processors.quality.estimator import Quality, QualityEstimator, QualityEstimatorSettings

__all__ = ["Quality", "QualityEstimator", "QualityEstimatorSettings"]
