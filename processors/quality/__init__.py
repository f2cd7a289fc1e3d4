"""How good a face's picture is."""

from processors.quality.estimator import Quality, QualityEstimator, QualityEstimatorSettings, WorstDefect

__all__ = ["Quality", "QualityEstimator", "QualityEstimatorSettings", "WorstDefect"]
