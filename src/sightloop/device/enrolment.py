"""Becoming a device: once, with a token that works once."""

from __future__ import annotations

from sightloop.contracts.check_in import EnrolRequest
from sightloop.device.errors import NotEnrolled
from sightloop.device.home import Home, Identity
from sightloop.device.server_link import ServerLink
from sightloop.device.settings import AgentSettings
from sightloop.device.version import AGENT_VERSION, CAPABILITIES
from sightloop.kernel.clock import Clock


def identity_of(home: Home, settings: AgentSettings, clock: Clock) -> Identity:
    """Who the device in this home is, enrolling it when it is new.

    Raises:
        NotEnrolled: the home is new, and no server or no token was given.
        ServerAway, ServerRefused: the server did not enrol it.
    """
    known = home.read_identity()
    if known is not None:
        return known
    if not settings.server or not settings.enrol_token:
        raise NotEnrolled(home=str(home.root))
    link = ServerLink(settings.server, token=settings.enrol_token)
    reply = link.enrol(
        EnrolRequest(
            name=settings.name,
            device_class=settings.device_class,
            agent_version=AGENT_VERSION,
            capabilities=CAPABILITIES,
        )
    )
    link.close()
    identity = Identity(device=reply.device, token=reply.token, enrolled_at_ms=clock.now_ms())
    home.write_identity(identity, update_root=reply.update_root)
    return identity
