"""Flags that stand out, or no longer do, since a file came in."""

from datetime import datetime

from services.intelligence.domain.flag_news import FlagNews
from shared.contracts.intelligence import SurveyFlag
from shared.persistence.pool import Connection

#: Seconds that looking through the flags of a file of a million rows may take.
_TIMEOUT_S = 600


async def given_at(connection: Connection, at: datetime, file_id: int | None) -> list[FlagNews]:
    """Flags given at this instant, because of a file or of any: new ones that are red or green, and corrected ones.

    A new flag of a year after which there is another says nothing of today: a file of many years is news of the last.

    Years that no event can name are left out: the contract begins with 2000.
    """
    rows = await connection.fetch(
        """
        with given as (
            select g.*, null as previous_flag, null::boolean as previous_triple_red
            from flags g
            where g.since = $1 and ($2::bigint is null or g.by_file = $2) and g.version = 1
              and g.flag in ('red', 'green') and not exists (
                  select from flags later
                  where later.provider_code = g.provider_code and later.report_type = g.report_type
                    and later.indicator = g.indicator and later.year > g.year and later.specialty = g.specialty
                    and later.site_code = g.site_code and later.flag not in ('grey', 'yellow'))
            union all
            select g.*, c.flag, c.triple_red
            from flags g
            join flag_corrections c on c.flag_id = g.id and c.version = g.version - 1
            where g.since = $1 and ($2::bigint is null or g.by_file = $2) and g.version > 1
              and (c.flag, c.triple_red) is distinct from (g.flag, g.triple_red)
              and (c.flag in ('red', 'green') or g.flag in ('red', 'green'))
        )
        select g.id, g.provider_code, g.report_type, g.year, g.edition, g.by_file as file_id, s.ods_code as site_code,
               g.specialty, g.indicator, g.flag, g.triple_red, g.previous_flag, g.previous_triple_red
        from given g
        join organisations o on o.ods_code = g.provider_code and o.parent_code is null
        left join organisations s on s.ods_code = g.site_code and s.parent_code = g.provider_code
        where g.year between 2000 and 2100""",
        at,
        file_id,
        timeout=_TIMEOUT_S,
    )
    return [
        FlagNews(
            **{
                **dict(row),
                "flag": SurveyFlag(row["flag"]),
                "previous_flag": SurveyFlag(row["previous_flag"]) if row["previous_flag"] else None,
            }
        )
        for row in rows
    ]
