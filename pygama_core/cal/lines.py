"""Gamma lines used for the energy scale."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

QBB = 2039.061  # [keV] Q value of the double beta decay of Ge-76; Mount et al., PRC 81 (2010) 032501
FEP = 2614.511  # [keV] full-energy peak of Tl-208
SEP = 2103.511  # [keV] FEP less one escaping 511 keV quantum; Doppler broadened
DEP = 1592.511  # [keV] FEP less two; broadened by its own topology


class Line(BaseModel, frozen=True, extra="forbid"):
    """One gamma line and how it is fitted."""

    energy: float = Field(gt=0, description="[keV]")
    below: float = Field(gt=0, description="fit window below the line [keV]")
    above: float = Field(gt=0, description="fit window above the line [keV]")
    shape: Literal["gauss_on_step", "hpge_peak"] = "gauss_on_step"
    in_resolution: bool = Field(default=True, description="whether its width follows the resolution curve")


TH228_LINES = (
    Line(energy=238.632, below=10, above=10),
    Line(energy=583.191, below=20, above=20, shape="hpge_peak"),
    Line(energy=727.330, below=30, above=30, shape="hpge_peak"),
    Line(energy=860.564, below=30, above=25, shape="hpge_peak"),
    Line(energy=DEP, below=40, above=20, in_resolution=False),
    Line(energy=1620.50, below=20, above=40),
    Line(energy=SEP, below=40, above=40, in_resolution=False),
    Line(energy=FEP, below=40, above=40, shape="hpge_peak"),
)
