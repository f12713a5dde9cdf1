"""Who is told of an event."""

from collections.abc import Iterable

from services.notify.domain.happenings import Happening
from services.notify.domain.stakeholders import Stakeholder, StakeholderKind, Subscription


def recipients(directory: Iterable[Stakeholder], told: Happening) -> list[Stakeholder]:
    """The active stakeholders of whom at least one subscription matches, each once, in the directory's order.

    A local education provider is only ever told of itself, whatever it subscribes to.
    """
    return [
        stakeholder
        for stakeholder in directory
        if stakeholder.active
        and _may_hear(stakeholder, told)
        and any(_matches(s, told) for s in stakeholder.subscriptions)
    ]


def _may_hear(stakeholder: Stakeholder, told: Happening) -> bool:
    if stakeholder.kind is StakeholderKind.LOCAL_EDUCATION_PROVIDER:
        return stakeholder.provider_code == told.provider_code
    return True


def _matches(subscription: Subscription, told: Happening) -> bool:
    if told.name not in subscription.event_types:
        return False
    if subscription.provider_code not in (None, told.provider_code):
        return False
    minimum = subscription.minimum_category
    return minimum is None or (told.category is not None and told.category >= minimum)
