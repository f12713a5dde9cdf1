"""Roles, and what each may do. Data: a check names a permission, never a role."""

from enum import StrEnum


class Role(StrEnum):
    """A part a caller plays in the quality cycle."""

    QUALITY_OFFICER = "quality_officer"
    QUALITY_LEAD = "quality_lead"
    LAY_PARTNER = "lay_partner"
    FINANCE_OFFICER = "finance_officer"
    FINANCE_APPROVER = "finance_approver"
    OPERATIONS = "operations"
    READER = "reader"
    #: The web form of learners and educators: it passes on what they report and is told nothing. It stands for no
    #: person, so that who sends a report is in no token, history or key of idempotency.
    REPORT_FORM = "report_form"


class Permission(StrEnum):
    """One thing a caller may do."""

    READ = "read"
    MANAGE_REGISTER = "manage_register"  # organisations
    RECORD_INTELLIGENCE = "record_intelligence"
    SEND_REPORT = "send_report"  # of a learner or an educator
    MANAGE_CONCERNS = "manage_concerns"
    CONFIRM_CATEGORY = "confirm_category"
    IMPORT_REGISTER = "import_register"
    SEE_REPORTER = "see_reporter"
    MANAGE_PEOPLE = "manage_people"  # the pool of panel members and their conflicts of interest
    SCHEDULE_VISITS = "schedule_visits"
    RECORD_OUTCOMES = "record_outcomes"
    MANAGE_AGREEMENTS = "manage_agreements"
    PROPOSE_ADJUSTMENT = "propose_adjustment"
    APPROVE_ADJUSTMENT = "approve_adjustment"
    MANAGE_DIRECTORY = "manage_directory"
    OPERATE = "operate"


P = Permission

PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.READER: frozenset({P.READ}),
    Role.REPORT_FORM: frozenset({P.SEND_REPORT}),
    Role.LAY_PARTNER: frozenset({P.READ}),
    Role.QUALITY_OFFICER: frozenset(
        {
            P.READ,
            P.MANAGE_REGISTER,
            P.RECORD_INTELLIGENCE,
            P.SEND_REPORT,
            P.MANAGE_CONCERNS,
            P.IMPORT_REGISTER,
            P.MANAGE_PEOPLE,
            P.SCHEDULE_VISITS,
            P.RECORD_OUTCOMES,
            P.MANAGE_DIRECTORY,
        }
    ),
    Role.QUALITY_LEAD: frozenset(
        {
            P.READ,
            P.MANAGE_REGISTER,
            P.RECORD_INTELLIGENCE,
            P.SEND_REPORT,
            P.MANAGE_CONCERNS,
            P.CONFIRM_CATEGORY,
            P.IMPORT_REGISTER,
            P.SEE_REPORTER,
            P.MANAGE_PEOPLE,
            P.SCHEDULE_VISITS,
            P.RECORD_OUTCOMES,
            P.MANAGE_DIRECTORY,
        }
    ),
    Role.FINANCE_OFFICER: frozenset({P.READ, P.MANAGE_AGREEMENTS, P.PROPOSE_ADJUSTMENT}),
    Role.FINANCE_APPROVER: frozenset({P.READ, P.MANAGE_AGREEMENTS, P.PROPOSE_ADJUSTMENT, P.APPROVE_ADJUSTMENT}),
    Role.OPERATIONS: frozenset({P.READ, P.OPERATE, P.IMPORT_REGISTER, P.MANAGE_REGISTER, P.MANAGE_DIRECTORY}),
}
