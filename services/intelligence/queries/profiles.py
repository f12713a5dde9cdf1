"""A provider's profile."""

from services.intelligence import queries
from services.intelligence.domain.concern import Status
from services.intelligence.queries import flags as answers
from services.intelligence.queries.flags import Wanted
from services.intelligence.store import concerns, flags, organisations, profiles
from services.intelligence.store.concerns import Search
from services.intelligence.views.organisations import OrganisationView
from services.intelligence.views.profiles import OpenConcernView, ProfileView, RatingPointView
from shared.contracts.intelligence import SurveyFlag
from shared.persistence.pool import Connection

#: Most sites and open concerns that a profile lists: more than any provider has. Lists of either have no end.
_MOST = 500

#: Most flags of one colour; a list of all of them has pages.
_MOST_FLAGS = 200


async def profile(connection: Connection, ods_code: str) -> ProfileView:
    """The profile of an organisation. Raises NotFound."""
    provider = await queries.organisation(connection, ods_code)
    sites = await organisations.page(connection, kind=None, parent=ods_code, after=None, limit=_MOST)
    open_now = Search(provider=ods_code, status=Status.OPEN)
    found = await concerns.page(connection, open_now, after=None, limit=_MOST)
    year = await profiles.last_year(connection, ods_code)
    outstanding = [
        flag
        for colour in (SurveyFlag.RED, SurveyFlag.GREEN)
        for flag in await flags.page(connection, provider=ods_code, year=year, flag=colour, limit=_MOST_FLAGS)
    ]
    return ProfileView(
        provider=provider,
        sites=[OrganisationView.of(site) for site in sites],
        open_concerns=[OpenConcernView.of(concern) for concern in found],
        ratings=[RatingPointView.of(rated) for rated in await profiles.ratings(connection, ods_code)],
        flags=await answers.views(connection, outstanding),
        flags_href=f"/flags?provider={ods_code}",
        series=[
            await answers.series(connection, Wanted(ods_code, indicator, report_type, None, None))
            for report_type, indicator in await profiles.indicators(connection, ods_code)
        ],
    )
