"""Defects of API keys: somebody gets in, or gets too far, or a key is seen where it must not be."""

from tests.faults.defects.defect import Defect

_ASKED = ("tests/harnesses/test_credentials.py",)
_KEPT = ("tests/web/auth/test_api_keys.py",)
_HTTP = "tests/web/auth/test_keys_over_http.py"
_LOGGED = (f"{_HTTP}::test_no_key_is_in_a_log_an_answer_or_a_metric_wherever_it_was_sent",)

DEFECTS: tuple[Defect, ...] = (
    Defect(
        "deleting a catalog needs no more than writing",
        "app/catalogs/routes.py",
        '@router.delete("/{catalog}", dependencies=[ADMIN]',
        '@router.delete("/{catalog}", dependencies=[WRITE]',
        _ASKED,
    ),
    Defect(
        "a route's scope is declared and not asked for",
        "app/web/auth/routes.py",
        "            key.check_scope(scope)\n",
        "",
        _ASKED,
    ),
    Defect(
        "a router's routes ask for no key",
        "app/plots/routes.py",
        ", route_class=AuthenticatedRoute",
        "",
        (f"{_HTTP}::test_every_route_needs_a_scope_but_for_the_few_that_are_open",),
    ),
    Defect(
        "the fast path of scores answers before anybody asks for a key",
        "app/scoring/fast_path.py",
        "    def get_authenticated_handler(self) -> Handler:",
        "    def get_route_handler(self) -> Handler:",
        _ASKED,
    ),
    Defect(
        "a key is asked for after the body was read",
        "app/web/auth/routes.py",
        "            key = await _authenticate(request)\n"
        "            key.check_scope(scope)\n"
        "            if self.body_field is not None:\n"
        "                request = JsonRequest(request.scope, request.receive)\n",
        "            if self.body_field is not None:\n"
        "                request = JsonRequest(request.scope, request.receive)\n"
        "            await request.body()\n"
        "            key = await _authenticate(request)\n"
        "            key.check_scope(scope)\n",
        _ASKED,
    ),
    Defect(
        "of two Authorization headers the first counts",
        "app/web/auth/routes.py",
        "if len(values) == 1 else None",
        "if values else None",
        _ASKED,
    ),
    Defect(
        "an expired key is admitted",
        "app/web/auth/api_keys.py",
        " or is_expired:",
        ":",
        _KEPT,
    ),
    Defect(
        "a revoked key is admitted",
        "app/web/auth/api_keys.py",
        " or is_revoked or ",
        " or ",
        _KEPT,
    ),
    Defect(
        "a key's public name is enough, whatever its secret",
        "app/web/auth/api_keys.py",
        "not compare_digest(stored_digest, digest) or ",
        "",
        _KEPT,
    ),
    Defect(
        "who was admitted once is admitted for ever",
        "app/web/auth/api_keys.py",
        "if key is not None and self._clock() < until:",
        "if key is not None:",
        _KEPT,
    ),
    Defect(
        "a service that was open stays open when the first key is made",
        "app/web/auth/api_keys.py",
        "self._open_until = self._clock() + CACHE_SECONDS",
        'self._open_until = float("inf")',
        _KEPT,
    ),
    Defect(
        "a service is open again when all of its keys are revoked",
        "app/web/auth/api_keys.py",
        "_ANY = Prepared(select(exists(select(ApiKey.id))))",
        "_ANY = Prepared(select(exists(select(ApiKey.id).where(ApiKey.revoked_at.is_(None)))))",
        _KEPT,
    ),
    Defect(
        "an address of the local network counts as this machine's own",
        "app/settings.py",
        "return ip_address(name).is_loopback",
        "return ip_address(name).is_private",
        _KEPT,
    ),
    Defect(
        "a service that others reach starts without a key",
        "app/main.py",
        "            check_not_open(database, settings.host)\n",
        "",
        (f"{_HTTP}::test_a_service_that_others_reach_does_not_start_without_a_key",),
    ),
    Defect(
        "a key is stored as it is beside its digest",
        "app/web/auth/api_keys.py",
        "            label=label,\n",
        "            label=label + text,\n",
        _KEPT,
    ),
    Defect(
        "a log line has a key",
        "app/observability/logs.py",
        "        _without_keys,\n",
        "",
        ("tests/observability/test_logs.py::test_a_key_that_comes_into_an_event_is_hidden",),
    ),
    Defect(
        "a problem repeats a key that came as an id",
        "app/web/problems.py",
        "redact(json.dumps(content, ensure_ascii=True, allow_nan=False))",
        "json.dumps(content, ensure_ascii=True, allow_nan=False)",
        _LOGGED,
    ),
)
