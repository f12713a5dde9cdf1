"""The closed vocabularies that describe providers, learners and where intelligence comes from.

Values are stable: they are written to databases, events and CSV files. A value may be added, never renamed.
"""

from enum import StrEnum


class ProviderKind(StrEnum):
    """What kind of organisation, or place of an organisation, learners are placed in."""

    HOSPITAL_TRUST = "hospital_trust"
    """An acute NHS trust or NHS foundation trust."""
    MENTAL_HEALTH_TRUST = "mental_health_trust"
    """A trust whose main services are for mental health or learning disability."""
    COMMUNITY_TRUST = "community_trust"
    AMBULANCE_TRUST = "ambulance_trust"
    HOSPITAL_SITE = "hospital_site"
    """A place where an organisation works; its parent is the organisation."""
    GENERAL_PRACTICE = "general_practice"
    DENTAL_PRACTICE = "dental_practice"
    INDEPENDENT_PROVIDER = "independent_provider"
    """A company or charity that provides care and places learners."""
    LOCAL_COUNCIL = "local_council"
    UNIVERSITY = "university"
    OTHER = "other"


class LearnerGroup(StrEnum):
    """The profession whose learners a concern, visit or placement is about."""

    NURSING = "nursing"
    MIDWIFERY = "midwifery"
    MEDICAL = "medical"
    """Medical students and doctors in postgraduate training."""
    DENTAL = "dental"
    ALLIED_HEALTH = "allied_health"
    """The allied health professions, paramedics apart."""
    PARAMEDIC = "paramedic"
    PHARMACY = "pharmacy"
    HEALTHCARE_SCIENCE = "healthcare_science"
    PSYCHOLOGICAL_PROFESSIONS = "psychological_professions"
    PHYSICIAN_ASSOCIATE = "physician_associate"
    SOCIAL_WORK = "social_work"
    MULTI_PROFESSIONAL = "multi_professional"
    """Several professions at once, or all of them."""


class SourceKind(StrEnum):
    """Who or what an item of intelligence came from. It names a role or an instrument, never a person."""

    LEARNER = "learner"
    EDUCATOR = "educator"
    """A clinical or educational supervisor, practice educator or placement lead."""
    HEAD_OF_SCHOOL = "head_of_school"
    DIRECTOR_OF_MEDICAL_EDUCATION = "director_of_medical_education"
    UNIVERSITY = "university"
    CQC = "cqc"
    """The Care Quality Commission."""
    GMC = "gmc"
    """The General Medical Council."""
    FREEDOM_TO_SPEAK_UP_GUARDIAN = "freedom_to_speak_up_guardian"
    NTS = "nts"
    """The GMC's National Training Survey."""
    NETS = "nets"
    """The National Education and Training Survey, of all professions."""
    SELF_ASSESSMENT = "self_assessment"
    """The provider's own yearly self-assessment."""
    QUALITY_VISIT = "quality_visit"
    """A visit or review by the quality team itself."""
    OTHER = "other"


class Tendency(StrEnum):
    """Which way an item of intelligence points."""

    ADVERSE = "adverse"
    """It speaks of something that falls below the standard."""
    NEUTRAL = "neutral"
    FAVOURABLE = "favourable"
    """It speaks of good practice, or of a standard that is met."""
