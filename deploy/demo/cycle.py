"""The story: one concern about a fictional trust, from the signals that point to it to its closing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from importlib.resources import files as package_files
from typing import Any

from deploy.demo.api import Api, DemoFailed
from deploy.demo.concern import QUALITY_LEAD, QualityTeam
from deploy.demo.observer import Observer
from shared.reference import files
from shared.reference.financial_year import FinancialYear
from shared.security.roles import Role

_REGISTERS = (
    ("providers", "providers.csv", "real organisations"),
    ("providers", "providers-synthetic.csv", "fictional organisations"),
    ("concerns", "concerns-published.csv", "published cases"),
    ("concerns", "concerns-synthetic-2023-24.csv", "one year of one office, invented"),
)

#: Fictional people: name, where they come from, roles they can take.
_PEOPLE = (
    ("Marlow Quennell", "Office of the postgraduate dean", ["chair"]),
    ("Teodora Winsley", "Quality team", ["quality_lead"]),
    ("Odalys Fairweather", "Lay partner pool", ["lay_partner"]),
    ("Bram Hollis", "Lay partner pool", ["lay_partner"]),
    ("Yusra Pemberline", "School of surgery", ["specialty_school_lead"]),
    ("Caspian Dray", "University of Fenbrook (fictional)", ["university_colleague"]),
)
_CONFLICTED = "Bram Hollis"


@dataclass
class Cycle:
    """Plays the story. `say` tells what people do; the observer tells what events follow."""

    api: Api
    observer: Observer
    say: Callable[[str], None]
    today: date
    #: The trust the story is about, and one of its sites; they stand in the shipped register of fictional providers.
    trust: str = "FICTHT001"
    site: str = "FICTHT001A"
    programme: str = "General surgery"

    async def import_registers(self) -> None:
        """Import both registers of organisations and both of concerns, and the directory of stakeholders."""
        for what, name, label in _REGISTERS:
            text = files.path(name).read_text(encoding="utf-8")
            report = await self.api.send_csv(
                "intelligence", f"/imports/{what}", text, role=Role.QUALITY_OFFICER, name=name
            )
            if report["problems"]:
                raise DemoFailed(f"{name} was not taken whole: {report['problems'][0]}")
            added, there = report["added"], report["unchanged"] + report["updated"]
            self.say(f"Quality officer imports {name} ({label}): {added} new, {there} there already")
        seed = package_files("services.notify").joinpath("data", "stakeholders.json").read_text(encoding="utf-8")
        answer = await self.api.post("notify", "/stakeholders/import", json.loads(seed), role=Role.QUALITY_OFFICER)
        self.say(f"Quality officer fills the directory of stakeholders: {_counts(answer)}")

    async def play(self) -> dict[str, Any]:
        """Play the story; the concern with its whole story at the end."""
        trust = await self.api.get("intelligence", f"/providers/{self.trust}")
        await self._sign_agreement(trust)
        panel = await self._gather_panel()
        team = QualityTeam(self.api, self.observer, self.say, self.today, self.trust, self.site, self.programme)
        proposal = await team.import_survey()
        await team.hear_a_learner()
        concern = await team.accept(proposal)
        requirement = await team.rate(concern)
        await team.escalate(concern)
        visit = await self._schedule(requirement, panel)
        outcome = await self._record(visit)
        await self._decide(outcome)
        await team.follow_up(concern)
        return await self.api.get("intelligence", f"/concerns/{concern['id']}")

    async def _sign_agreement(self, trust: dict[str, Any]) -> None:
        year = FinancialYear.of(self.today).label
        found = await self.api.get("funding", "/agreements", provider=self.trust, financial_year=year)
        if found["items"]:
            self.say(f"The funding agreement of {trust['name']} for {year} was signed before")
            return
        agreement = await self.api.post(
            "funding",
            "/agreements",
            {
                "provider": {key: trust[key] for key in ("ods_code", "name", "kind")},
                "financial_year": year,
                "signed_on": self.today.isoformat(),
                "lines": [
                    {"tariff_group": "clinical", "amount_pence": 412_500_000},
                    {"tariff_group": "postgraduate_medical", "amount_pence": 1_287_450_000},
                    {"tariff_group": "undergraduate_medical", "amount_pence": 655_025_000},
                ],
            },
            role=Role.FINANCE_OFFICER,
        )
        self.say(f"Finance officer signs the agreement for {year}: {_pounds(agreement['committed_pence'])}")

    async def _gather_panel(self) -> dict[str, str]:
        """The pool of people, by name; one of them has a conflict of interest."""
        known = await self.api.get("visits", "/people", role=Role.QUALITY_OFFICER, limit=200)
        pool = {person["name"]: person["id"] for person in known["items"]}
        for name, organisation, roles in _PEOPLE:
            if name in pool:
                continue
            body = {"name": name, "organisation": organisation, "roles": roles}
            person = await self.api.post("visits", "/people", body, role=Role.QUALITY_OFFICER)
            pool[name] = person["id"]
            if name == _CONFLICTED:
                await self.api.post(
                    "visits",
                    f"/people/{person['id']}/conflicts",
                    {"provider_code": self.trust, "note": "Former governor of the trust."},
                    role=Role.QUALITY_OFFICER,
                    version=person["version"],
                )
        self.say(f"The pool has {len(pool)} people; one lay partner has declared a conflict of interest with the trust")
        return pool

    async def _schedule(self, requirement: str, pool: dict[str, str]) -> dict[str, Any]:
        seats = {name: roles[0] for name, _, roles in _PEOPLE}
        body: dict[str, Any] = {
            "provider_code": self.trust,
            "site_code": self.site,
            "kind": "urgent_risk_review",
            "visit_date": self.today.isoformat(),
            "requirement_ids": [requirement],
            "panel": [{"person_id": pool[name], "role": role} for name, role in seats.items()],
        }
        refused = await self.api.try_post("visits", "/visits", body, role=Role.QUALITY_OFFICER)
        if refused.status_code != 422:
            raise DemoFailed(f"A panel with a conflict of interest was answered with {refused.status_code}, not 422.")
        self.say(f"The first panel is refused: {refused.json()['errors'][0]['reason']}")
        body["panel"] = [seat for seat in body["panel"] if seat["person_id"] != pool[_CONFLICTED]]
        visit = await self.api.post("visits", "/visits", body, role=Role.QUALITY_OFFICER)
        self.say(f"Quality officer schedules an urgent risk review for today, with a panel of {len(body['panel'])}")
        await self.observer.wait_for("visit.scheduled", lambda seen: seen.envelope.subject == visit["id"])
        return {**visit, "people": [seat["person_id"] for seat in body["panel"]]}

    async def _record(self, visit: dict[str, Any]) -> str:
        """Record what the panel agreed on; the outcome."""
        findings = [
            ("immediate_mandatory_requirement", "3.5", "Name a senior supervisor for every night shift."),
            ("mandatory_requirement", "1.6", "Let learners raise concerns without fear of consequences."),
            ("recommendation", "4.2", "Protect time in supervisors' job plans."),
            ("good_practice", "1.1", "The simulation programme is worth sharing."),
        ]
        await self.api.post(
            "visits",
            f"/visits/{visit['id']}/outcome",
            {
                "summary": "Supervision at night falls below the standard; the trust has begun to act.",
                "findings": [{"kind": kind, "standard": number, "text": text} for kind, number, text in findings],
                "agreed_by": visit["people"],
            },
            role=Role.QUALITY_LEAD,
            subject=QUALITY_LEAD,
            version=visit["version"],
        )
        self.say("Quality lead records the outcome; the whole panel agreed, the lay partner like anybody")
        recorded = await self.observer.wait_for(
            "outcome.recorded", lambda seen: str(getattr(seen.data, "visit_id", "")) == visit["id"]
        )
        return recorded.envelope.subject

    async def _decide(self, outcome: str) -> None:
        proposed = await self.observer.wait_for(
            "investment.proposed", lambda seen: str(getattr(seen.data, "outcome_id", "")) == outcome
        )
        proposal = await self.api.get("funding", f"/proposals/{proposed.envelope.subject}")
        self.say(
            f"The policy {proposal['policy_version']} proposes to {_words(proposal['lever'])} "
            f"{_pounds(abs(proposal['amount_pence']))}: {', '.join(proposal['reasons'])}"
        )
        path = f"/proposals/{proposal['id']}/approval"
        body = {"note": "Agreed with the trust's director of medical education."}
        own = await self.api.try_post(
            "funding", path, body, role=Role.FINANCE_APPROVER, subject=QUALITY_LEAD, version=proposal["version"]
        )
        if own.status_code != 403:
            raise DemoFailed(f"An approval by who recorded the outcome was answered with {own.status_code}, not 403.")
        self.say("Who recorded the outcome tries to approve it, and may not")
        await self.api.post("funding", path, body, role=Role.FINANCE_APPROVER, version=proposal["version"])
        self.say("A second person approves; the money moves in the ledger")
        await self.observer.wait_for(
            "investment.adjusted", lambda seen: str(getattr(seen.data, "proposal_id", "")) == proposal["id"]
        )


def _counts(answer: dict[str, Any]) -> str:
    return ", ".join(f"{value} {key}" for key, value in answer.items() if isinstance(value, int))


def _pounds(pence: int) -> str:
    return f"£{pence // 100:,}.{pence % 100:02}"


def _words(name: str) -> str:
    return name.replace("_", " ")
