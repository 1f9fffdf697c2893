"""The rest of the relay's interface: what operators, auditors and other programs than ours ask it."""

from uuid import UUID

from relay.api.states import Role
from relay.api.tokens import new_token, token_hash
from relay.api.wire import (
    AuditEntries,
    AuditEntry,
    JoinToken,
    JoinTokens,
    Member,
    NewLabels,
    NewToken,
    RelayProject,
    Revocation,
    Site,
    SiteReport,
    SiteReports,
    TokenRotation,
    to_base64url,
)
from relay.client.exchange import Request
from relay.client.transport import RelayClient


class FullClient(RelayClient):
    """A client with a method for each request of the relay's interface."""

    async def label_site(self, key: bytes, labels: dict[str, str]) -> Site:
        """Give this site, or as an operator another one, other labels."""
        return await self._send(Site, "PUT", f"/v1/sites/{to_base64url(key)}/labels", NewLabels(labels=labels))

    async def revoke_site(self, key: bytes, reason: str = "") -> Site:
        """End a site whose key is not to be trusted any more; for operators."""
        path = f"/v1/sites/{to_base64url(key)}/revocation"
        return await self._send(Site, "POST", path, Revocation(reason=reason))

    async def heartbeat(self) -> None:
        """Say that this site is there; every other request says so too."""
        await self._exchange.send(Request(method="POST", path="/v1/heartbeat"))

    async def tokens(self) -> list[JoinToken]:
        """Return all join tokens, without what they are; for operators."""
        return (await self._send(JoinTokens, "GET", "/v1/tokens")).tokens

    async def create_token(self, role: Role | str, label: str, ttl_s: int) -> tuple[JoinToken, str]:
        """Draw a join token and let the relay know its hash; returns the token too, which is nowhere else."""
        text = new_token()
        wanted = NewToken(hash=token_hash(text), role=Role(role), label=label, ttl_s=ttl_s)
        return await self._send(JoinToken, "POST", "/v1/tokens", wanted), text

    async def rotate_token(self, number: int, ttl_s: int) -> tuple[JoinToken, str]:
        """Revoke a join token and draw another one in its place, for the same role and label."""
        text = new_token()
        wanted = TokenRotation(hash=token_hash(text), ttl_s=ttl_s)
        return await self._send(JoinToken, "POST", f"/v1/tokens/{number}/rotation", wanted), text

    async def revoke_token(self, number: int) -> JoinToken:
        """Revoke a join token that is not used."""
        return await self._send(JoinToken, "DELETE", f"/v1/tokens/{number}")

    async def audit(self, after: int = 0) -> list[AuditEntry]:
        """Return the entries of the audit log behind one, at most 256; for auditors."""
        return (await self._send(AuditEntries, "GET", "/v1/audit", query={"after": str(after)})).entries

    async def remove_member(self, project: UUID, site: bytes) -> Member:
        """Take a member out of a project."""
        return await self._send(Member, "DELETE", f"/v1/projects/{project}/members/{to_base64url(site)}")

    async def close_project(self, project: UUID) -> RelayProject:
        """Close a project: no more invitations, rosters or runs."""
        return await self._send(RelayProject, "POST", f"/v1/projects/{project}/close")

    async def reports(self, run: UUID) -> list[SiteReport]:
        """Return where the sites of a run stand: all for its coordinator, its own for a site."""
        return (await self._send(SiteReports, "GET", f"/v1/runs/{run}/reports")).sites
