"""A concern of the story, as the quality team sees it: where it comes from, and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from deploy.demo import survey
from deploy.demo.api import Api, DemoFailed
from deploy.demo.observer import Observer, Seen
from shared.security.roles import Role

#: The person who confirms, records and closes.
QUALITY_LEAD = "quality-lead-1"

_REGISTER = "regional_register"
_CONDITION_DAYS = 60


@dataclass
class QualityTeam:
    """What the quality team does about one place: from signals to a concern, and from its register to its end."""

    api: Api
    observer: Observer
    say: Callable[[str], None]
    today: date
    trust: str
    site: str
    programme: str

    async def import_survey(self) -> str:
        """Import a survey in which the place is red in three years; the proposal that follows."""
        known = await self.api.get("intelligence", "/flags", provider=self.trust, limit=200)
        flagged = {flag["indicator"] for flag in known["items"] if flag["specialty"] == self.programme}
        indicator = next((name for name in survey.INDICATORS if name not in flagged), None)
        if indicator is None:
            raise DemoFailed("The demo was played for each indicator on these data: `make clean` lets it begin anew.")
        text = survey.results(self.trust, self.site, self.programme, indicator, self.today)
        report = await self.api.send_csv(
            "intelligence", "/imports/nts", text, role=Role.QUALITY_OFFICER, name="survey.csv"
        )
        self.say(f"Quality officer imports a survey (invented): {report['added']} results of “{indicator}”")
        await self.observer.wait_for("intelligence.flagged", lambda seen: _names(seen, indicator))
        found = await self.api.get(
            "intelligence", "/flags", provider=self.trust, indicator=indicator, triple_red="true"
        )
        flag = await self.api.get("intelligence", f"/flags/{found['items'][0]['id']}")
        proposed = await self.observer.wait_for(
            "concern.proposed", lambda seen: flag["id"] in map(str, getattr(seen.data, "flag_ids", ()))
        )
        self.say(
            f"{self.programme} at {self.site} is red the third year running, its mean {flag['numbers']['mean']:g} and "
            f"the lower quartile {flag['benchmark']['lower_quartile']:g}; so a concern is proposed"
        )
        return proposed.envelope.subject

    async def hear_a_learner(self) -> None:
        """Take in a learner's report by the form."""
        body = {
            "reporter_kind": "learner",
            "provider_code": self.trust,
            "site_code": self.site,
            "programme": self.programme,
            "learner_group": "medical",
            "standards": ["3.5"],
            "happened_on": self.today.isoformat(),
            "words": "I was alone on the ward at night and could reach nobody.",
            "patient_safety": True,
            "reporter": {"name": "Ash Quillfeather", "contact": "ash@learners.example"},
        }
        await self.api.post("intelligence", "/reports", body, role=Role.REPORT_FORM)
        self.say("A learner reports by the form; their words and their name are in no event")

    async def accept(self, proposal_id: str) -> dict[str, Any]:
        """Accept a proposal; the concern that is raised by that."""
        proposal = await self.api.get("intelligence", f"/proposals/{proposal_id}", role=Role.QUALITY_OFFICER)
        rules = ", ".join(rule["code"] for rule in proposal["rules"])
        accepted = await self.api.post(
            "intelligence",
            f"/proposals/{proposal_id}/acceptance",
            {
                "standards": ["1.6", "3.5"],
                "summary": "Doctors in training are left without senior supervision at night.",
                "rationale": "The learner's report says what the survey has said for three years.",
            },
            role=Role.QUALITY_OFFICER,
            version=proposal["version"],
        )
        self.say(
            f"Quality officer accepts what {proposal['policy_version']} proposes ({rules}), resting on "
            f"{len(proposal['evidence'])} signals"
        )
        await self._hear("concern.raised", accepted["concern_id"])
        return await self._present(accepted["concern_id"])

    async def rate(self, concern: dict[str, Any]) -> str:
        """Confirm the category; the requirement of a visit that follows."""
        body = {"impact": 4, "likelihood": 4, "category": 3, "rationale": "Patients were at risk on several nights."}
        await self._do(concern["id"], "ratings", body)
        self.say(f"Quality lead rates {concern['reference']} 4 × 4 = 16 and confirms category 3 (major)")
        required = await self.observer.wait_for(
            "visit.required", lambda seen: str(seen.envelope.correlationid) == concern["id"]
        )
        return required.envelope.subject

    async def escalate(self, concern: dict[str, Any]) -> None:
        """Put the concern on the regional register, with a condition for leaving it."""
        escalation = {"register_kind": _REGISTER, "rationale": "The trust needs the region's support."}
        await self._do(concern["id"], "escalations", escalation)
        self.say("Quality lead puts it on the regional register, with an exit condition for the medical director")
        await self._hear("concern.escalated", concern["id"])
        condition = {
            "register_kind": _REGISTER,
            "wording": "A senior supervisor is named for every night shift.",
            "owner": "medical_director",
            "due_on": (self.today + timedelta(days=_CONDITION_DAYS)).isoformat(),
            "rationale": "That is what was missing.",
        }
        await self._do(concern["id"], "exit-conditions", condition, Role.QUALITY_OFFICER)
        await self._hear("condition.set", concern["id"])

    async def follow_up(self, concern: dict[str, Any]) -> None:
        """See the exit condition met and the effectiveness checked, take the concern off the register and close it."""
        concern_id = concern["id"]
        closure = {"closure_reason": "resolved", "rationale": "The standard is met, and it lasts."}
        present = await self._present(concern_id)
        path = f"/concerns/{concern_id}/closure"
        refused = await self.api.try_post(
            "intelligence", path, closure, role=Role.QUALITY_LEAD, version=present["version"]
        )
        if refused.status_code != 409:
            raise DemoFailed(f"Closing a concern on a register was answered with {refused.status_code}, not 409.")
        self.say("Quality lead tries to close it, and may not while it is on the register")
        (condition,) = present["exit_conditions"]
        met = {"state": "met", "rationale": "The rota names one for each night."}
        await self._do(concern_id, f"exit-conditions/{condition['id']}/settlement", met)
        self.say("The exit condition is met, and an effectiveness check finds that it lasts")
        await self._hear("condition.settled", concern_id)
        today = self.today.isoformat()
        plan = {"register_kind": _REGISTER, "due_on": today, "rationale": "Before it leaves the register."}
        await self._do(concern_id, "effectiveness-checks", plan, Role.QUALITY_OFFICER)
        result = {"register_kind": _REGISTER, "effective": True, "rationale": "Nobody is alone at night any more."}
        await self._do(concern_id, "effectiveness-checks/result", result)
        removal = {"register_kind": _REGISTER, "rationale": "Condition met, effectiveness shown."}
        await self._do(concern_id, "de-escalations", removal)
        self.say("So quality lead takes it off the register, and closes it")
        await self._hear("concern.de-escalated", concern_id)
        await self._do(concern_id, "closure", closure)
        await self._hear("concern.closed", concern_id)

    async def _present(self, concern_id: str) -> dict[str, Any]:
        return await self.api.get("intelligence", f"/concerns/{concern_id}")

    async def _do(
        self,
        concern_id: str,
        action: str,
        body: dict[str, Any],
        role: Role = Role.QUALITY_LEAD,
    ) -> None:
        version = (await self._present(concern_id))["version"]
        subject = QUALITY_LEAD if role is Role.QUALITY_LEAD else None
        path = f"/concerns/{concern_id}/{action}"
        await self.api.post("intelligence", path, body, role=role, subject=subject, version=version)

    async def _hear(self, name: str, concern_id: str) -> None:
        await self.observer.wait_for(name, lambda seen: str(seen.envelope.correlationid) == concern_id)


def _names(seen: Seen, indicator: str) -> bool:
    return any(result.indicator == indicator for result in getattr(seen.data, "results", ()))
