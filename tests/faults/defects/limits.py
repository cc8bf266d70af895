"""Defects of limits: of heads, bodies, times, rates, and of what the log tells."""

from tests.faults.defects.defect import Defect

_HEADS = "tests/web/test_headers.py"
_CONNECTIONS = "tests/web/test_connections.py"
_ADMISSION = "tests/web/test_rate_limits.py"
_OVERLOAD = "tests/web/test_overload.py"
_LOGS = "tests/observability/test_logs.py"
_HARNESSES = "tests/harnesses/test_harnesses_of_limits.py::"

DEFECTS: tuple[Defect, ...] = (
    Defect(
        "a request for any host is answered",
        "app/web/middleware.py",
        "_without_port(hosts[0]) not in self._hosts:",
        "not self._hosts:",
        (f"{_HEADS}::test_on_a_loopback_address_other_names_lead_nowhere",),
    ),
    Defect(
        "of two hosts the first one counts",
        "app/web/middleware.py",
        "if len(hosts) != 1 and",
        "if not hosts and",
        (f"{_HEADS}::test_two_hosts_are_none",),
    ),
    Defect(
        "a packed body is taken for what is in it",
        "app/web/middleware.py",
        'not in {b"", b"identity"}',
        'in {b"never"}',
        (f"{_HEADS}::test_a_packed_body_is_refused_unread",),
    ),
    Defect(
        "a connection may wait for its first head without end",
        "app/web/server.py",
        "super().connection_made(transport)\n        self._wait()",
        "super().connection_made(transport)",
        (f"{_CONNECTIONS}::test_a_head_that_does_not_come_ends_the_connection",),
    ),
    Defect(
        "a body may take any time",
        "app/web/limits.py",
        "asyncio.timeout(seconds + extra_seconds)",
        "asyncio.timeout(None)",
        (f"{_CONNECTIONS}::test_a_body_that_does_not_come_is_told_so",),
    ),
    Defect(
        "a head may have any size",
        "app/web/server.py",
        "if self._unread > _BYTES:",
        "if self._unread > _BYTES**2:",
        (f"{_CONNECTIONS}::test_a_head_without_end_is_refused_before_memory_is",),
    ),
    Defect(
        "what stands behind a body is a header",
        "app/web/server.py",
        "if not self._after_headers:",
        "if name:",
        (f"{_CONNECTIONS}::test_a_request_behind_a_body_with_trailers_has_its_own_headers",),
    ),
    Defect(
        "any number of requests is begun",
        "app/web/server.py",
        "if requests - self._streams.busy < self.settings.requests_at_once:",
        "if requests:",
        (f"{_OVERLOAD}::test_one_more_is_refused_and_what_was_begun_is_answered",),
    ),
    Defect(
        "the body of a refused request is read as the next request's",
        "app/web/server.py",
        "        if not self._is_shed:\n            self._unread = 0\n            super().on_body(body)",
        "        self._unread = 0\n        super().on_body(body)",
        (f"{_OVERLOAD}::test_a_refused_body_is_read_past_and_the_connection_goes_on",),
    ),
    Defect(
        "every refused request has the same name",
        "app/web/server.py",
        'self._cached.replace(_REQUEST_ID, b"%016x" % random.getrandbits(64))',
        "self._cached",
        (f"{_OVERLOAD}::test_every_refusal_has_a_name_of_its_own_and_is_counted",),
    ),
    Defect(
        "a turn is never given back",
        "app/web/limits.py",
        "            self._free.release()",
        "            pass",
        (
            "tests/web/test_slots.py::test_a_turn_that_does_not_come_is_not_waited_for_and_a_failure_gives_it_back",
        ),
    ),
    Defect(
        "the place of a stream is never left",
        "app/training/routes.py",
        "    finally:\n        streams.release()",
        "    finally:\n        pass",
        (f"{_CONNECTIONS}::test_streams_are_counted_while_they_run",),
    ),
    Defect(
        "a refusal does not say when to come back",
        "app/web/limits.py",
        "answer(Request(scope), problem, headers)",
        "answer(Request(scope), problem)",
        (_ADMISSION,),
    ),
    Defect(
        "who waited long may ask for any number at once",
        "app/web/limits.py",
        "level = min(self._full, level + (now - then) * self._rate)",
        "level += (now - then) * self._rate",
        ("tests/web/test_slots.py",),
    ),
    Defect(
        "keys share the limit of their address",
        "app/web/limits.py",
        "if key is not None and key is not ANYBODY:",
        "if key is ANYBODY:",
        (f"{_ADMISSION}::test_keys_are_counted_apart",),
    ),
    Defect(
        "brackets in strings nest",
        "app/web/limits.py",
        """b"".join(marks.split(b'"')[::2])""",
        """marks.replace(b'"', b"")""",
        ("tests/web/test_nesting.py",),
    ),
    Defect(
        "a bug's path is in the log",
        "app/web/middleware.py",
        "route = route_of(scope)",
        "route = str(Request(scope).url)",
        (f"{_LOGS}::test_a_bug_is_logged_with_its_place_and_request_and_without_its_words",),
    ),
    Defect(
        "an exception's message is in the log",
        "app/observability/logs.py",
        "message = error.strerror if isinstance(error, OSError) else None",
        "message = str(error)",
        (f"{_LOGS}::test_a_bug_is_logged_with_its_place_and_request_and_without_its_words",),
    ),
    Defect(
        "the database's errors show what was to be stored",
        "app/database/sqlite.py",
        "hide_parameters=True",
        "hide_parameters=False",
        (f"{_LOGS}::test_an_error_of_the_database_does_not_show_what_was_to_be_stored",),
    ),
    # Each of these is for a harness, to be found by the part of it that is among the tests, or by more of it.
    Defect(
        what="overload: a refusal at the door does not say when to come back",
        file="app/web/problems.py",
        right='Unavailable: {"Retry-After": "1"}',
        wrong="Unavailable: {}",
        tests=(f"{_HARNESSES}test_overload_is_refused_with_a_time_to_come_back_and_the_rest_is_served",),
    ),
    Defect(
        what="disconnects: the place of a stream is never left",
        file="app/training/routes.py",
        right="    finally:\n        streams.release()",
        wrong="    finally:\n        pass",
        tests=(f"{_HARNESSES}test_clients_that_disconnect_leave_nothing_behind",),
    ),
    Defect(
        what="hostile: the name in Host is read as ASCII",
        file="app/web/middleware.py",
        right='host.decode("latin-1").lower()',
        wrong='host.decode("ascii").lower()',
        tests=(f"{_HARNESSES}test_hostile_requests_are_never_a_fault_of_the_service",),
        times=5,  # one kind of request of many has bytes there
    ),
    Defect(
        what="hosts: a connection of PostgreSQL's that was lost is a fault of the service",
        file="app/database/postgresql.py",
        right="(psycopg.OperationalError, psycopg.InterfaceError, *_READS_ONLY)",
        wrong="(psycopg.InterfaceError, *_READS_ONLY)",
        tests=("tests/harnesses/test_faults.py::test_a_part_of_the_harness_breaks_no_promise[hosts]",),
    ),
)
