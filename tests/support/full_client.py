"""The rest of the relay's interface: requests of operators, auditors and third-party programs."""

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
    TokenRotation,
    to_base64url,
)
from relay.client.exchange import Request
from relay.client.transport import RelayClient


class FullClient(RelayClient):
    """A client with a method for each request of the relay's interface."""

    async def label_site(self, key: bytes, labels: dict[str, str]) -> Site:
        """Replace the labels of this site or, as an operator, of any site."""
        return await self._send(Site, "PUT", f"/v1/sites/{to_base64url(key)}/labels", NewLabels(labels=labels))

    async def revoke_site(self, key: bytes, reason: str = "") -> Site:
        """Revoke the key of a site that is no longer trusted; for operators."""
        path = f"/v1/sites/{to_base64url(key)}/revocation"
        return await self._send(Site, "POST", path, Revocation(reason=reason))

    async def heartbeat(self) -> None:
        """Report that this site is online; every other request does so too."""
        await self._exchange.send(Request(method="POST", path="/v1/heartbeat"))

    async def tokens(self) -> list[JoinToken]:
        """Return all join tokens, without their secrets; for operators."""
        return (await self._send(JoinTokens, "GET", "/v1/tokens")).tokens

    async def create_token(self, role: Role | str, label: str, ttl_s: int) -> tuple[JoinToken, str]:
        """Generate a join token and send the relay its hash; also return the token, which is stored nowhere else."""
        text = new_token()
        wanted = NewToken(hash=token_hash(text), role=Role(role), label=label, ttl_s=ttl_s)
        return await self._send(JoinToken, "POST", "/v1/tokens", wanted), text

    async def rotate_token(self, number: int, ttl_s: int) -> tuple[JoinToken, str]:
        """Revoke a join token and generate a replacement with the same role and label."""
        text = new_token()
        wanted = TokenRotation(hash=token_hash(text), ttl_s=ttl_s)
        return await self._send(JoinToken, "POST", f"/v1/tokens/{number}/rotation", wanted), text

    async def revoke_token(self, number: int) -> JoinToken:
        """Revoke an unused join token."""
        return await self._send(JoinToken, "DELETE", f"/v1/tokens/{number}")

    async def audit(self, after: int = 0) -> list[AuditEntry]:
        """Return up to 256 entries of the audit log that follow entry `after`; for auditors."""
        return (await self._send(AuditEntries, "GET", "/v1/audit", query={"after": str(after)})).entries

    async def remove_member(self, project: UUID, site: bytes) -> Member:
        """Remove a member from a project."""
        return await self._send(Member, "DELETE", f"/v1/projects/{project}/members/{to_base64url(site)}")

    async def close_project(self, project: UUID) -> RelayProject:
        """Close a project: no more invitations, rosters or runs."""
        return await self._send(RelayProject, "POST", f"/v1/projects/{project}/close")
