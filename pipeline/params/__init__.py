"""``params.yaml`` as frozen typed models, a file for each group: the one place for defaults, bounds and messages."""

from pipeline.params.classify import ClassifyParams
from pipeline.params.data import DataParams, GreyRange, LongTail
from pipeline.params.evaluate import EvaluateParams
from pipeline.params.export import Balance, ExportParams, FilterParams
from pipeline.params.fields import OneOf
from pipeline.params.file import load_params, locate, params_of
from pipeline.params.study import StudyParams
from pipeline.params.train import TrainParams
from pipeline.params.whole import Params
from pipeline.params.workers import WorkersParams

__all__ = [
    "Balance",
    "ClassifyParams",
    "DataParams",
    "EvaluateParams",
    "ExportParams",
    "FilterParams",
    "GreyRange",
    "LongTail",
    "OneOf",
    "Params",
    "StudyParams",
    "TrainParams",
    "WorkersParams",
    "load_params",
    "locate",
    "params_of",
]
