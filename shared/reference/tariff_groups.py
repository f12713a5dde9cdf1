"""The tariff groups by which placements are priced."""

from enum import StrEnum


class TariffGroup(StrEnum):
    """A group of placements with one national price.

    Source: the education and training tariffs published by the Department of Health and Social Care; the
    dental core and specialty group exists from the financial year 2025-26.
    """

    CLINICAL = "clinical"
    """Placements of nursing, midwifery, allied health and other non-medical learners."""
    UNDERGRADUATE_MEDICAL = "undergraduate_medical"
    UNDERGRADUATE_DENTAL = "undergraduate_dental"
    POSTGRADUATE_MEDICAL = "postgraduate_medical"
    DENTAL_CORE_SPECIALTY = "dental_core_specialty"
