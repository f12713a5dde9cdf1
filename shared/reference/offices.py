"""The offices that manage the quality of education: the local offices of England and their counterparts."""

from dataclasses import dataclass


class UnknownOffice(LookupError):
    """No office has this slug."""

    def __init__(self, slug: str) -> None:
        super().__init__(f"No office has the slug {slug!r}. Known: {', '.join(sorted(_BY_SLUG))}.")
        self.slug = slug


@dataclass(frozen=True, slots=True)
class Office:
    """An office that takes part in the exchange of quality events.

    `slug` is the stable name used in settings and in the source of an event; `in_england` tells the local
    offices of England from the bodies of the other nations and of Defence.
    """

    slug: str
    name: str
    in_england: bool = True


OFFICES: tuple[Office, ...] = (
    Office("east-midlands", "East Midlands"),
    Office("east-of-england", "East of England"),
    Office("kent-surrey-and-sussex", "Kent, Surrey and Sussex"),
    Office("north-central-and-east-london", "North Central and East London"),
    Office("north-east", "North East"),
    Office("north-west", "North West"),
    Office("north-west-london", "North West London"),
    Office("south-london", "South London"),
    Office("south-west", "South West"),
    Office("thames-valley", "Thames Valley"),
    Office("wessex", "Wessex"),
    Office("west-midlands", "West Midlands"),
    Office("yorkshire-and-the-humber", "Yorkshire and the Humber"),
    Office("nes", "NHS Education for Scotland", in_england=False),
    Office("heiw", "Health Education and Improvement Wales", in_england=False),
    Office("nimdta", "Northern Ireland Medical and Dental Training Agency", in_england=False),
    Office("defence", "Defence Postgraduate Medical Deanery", in_england=False),
)

_BY_SLUG = {office.slug: office for office in OFFICES}


def office(slug: str) -> Office:
    """The office with this slug; raises `UnknownOffice`."""
    try:
        return _BY_SLUG[slug]
    except KeyError:
        raise UnknownOffice(slug) from None
