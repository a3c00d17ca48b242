"""Static routes as facts about the installation."""

from dispatcher.core.static_routes import StaticRoutes
from posthouse.doctor.outward_judges import RouteFacts


def route_facts(routes: StaticRoutes) -> tuple[RouteFacts, ...]:
    """Where mail goes instead of to its MX."""
    hops = {"": routes.smarthost, **routes.by_domain}
    return tuple(
        RouteFacts(hop.name, hop.port, domain) for domain, hop in hops.items() if hop is not None
    )
