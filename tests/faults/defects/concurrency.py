"""Defects of transactions, leases, keys and caches: what crashes, races and deletions bring to light."""

from tests.faults.defects.defect import Defect

_KEYS = "tests/web/test_idempotency.py"
_LEASES = "tests/training/test_leases.py"
_DELETIONS = "tests/catalogs/test_deletions.py"
_DURABILITY = "tests/database/test_durability.py"
_DATABASE = "tests/database/test_database.py"
_PROMISES = "tests/harnesses/test_faults.py::test_a_part_of_the_harness_breaks_no_promise"

DEFECTS: tuple[Defect, ...] = (
    Defect(
        what="a commit does not wait for the disk",
        file="app/database/sqlite.py",
        right='"synchronous = FULL"',
        wrong='"synchronous = OFF"',
        tests=(f"{_DATABASE}::test_every_connection_is_durable_and_checks_foreign_keys",),
    ),
    Defect(
        what="a writer takes the write lock with its first write, not before it reads",
        file="app/database/sqlite.py",
        right='execution_options(begin="IMMEDIATE")',
        wrong='execution_options(begin="DEFERRED")',
        tests=(f"{_DATABASE}::test_many_threads_and_processes_write_without_losing_anything",),
    ),
    Defect(
        what="the fencing token of a write is not checked",
        file="app/training/leases.py",
        right=".where(Training.id == lease.training, Training.token == lease.token, Training.status ==",
        wrong=".where(Training.id == lease.training, Training.status ==",
        tests=(f"{_LEASES}::test_a_stale_worker_writes_nothing",),
    ),
    Defect(
        what="a worker may write to a training that was cancelled",
        file="app/training/leases.py",
        right='Training.token == lease.token, Training.status == "running")',
        wrong="Training.token == lease.token)",
        tests=(f"{_LEASES}::test_a_cancelled_training_takes_no_more_writes",),
    ),
    Defect(
        what="a report does not renew the lease",
        file="app/training/leases.py",
        right='{"lease_until": now() + lease_seconds, **progress}',
        wrong='{"lease_until": Training.lease_until, **progress}',
        tests=(f"{_LEASES}::test_a_report_renews_the_lease",),
    ),
    Defect(
        what="a claim does not count the token up",
        file="app/training/leases.py",
        right="token=Training.token + 1",
        wrong="token=Training.token",
        tests=(_LEASES,),
    ),
    Defect(
        what="a training that is taken up again keeps the steps of the dead worker",
        file="app/training/leases.py",
        right="connection.execute(delete(TrainingStep).where(TrainingStep.training_id == training))",
        wrong="_ = delete(TrainingStep)",
        tests=(f"{_LEASES}::test_a_training_whose_lease_ended_is_claimed_again_and_starts_over",),
    ),
    Defect(
        what="a training that cannot be read is tried again at once, for ever, before all others",
        file="app/training/leases.py",
        right='{"status": "queued", "lease_until": now() + wait}',
        wrong='{"status": "queued", "lease_until": None, "attempts": Training.attempts - 1}',
        tests=(f"{_LEASES}::test_a_training_put_off_waits_longer_each_time_and_fails_in_the_end",),
    ),
    Defect(
        what="a training publishes what it learned of users who were deleted meanwhile",
        file="app/training/publishing.py",
        right="            del self._versions[user], self._squared_norms[user]\n",
        wrong="            pass\n",
        tests=(f"{_DELETIONS}::test_a_user_deleted_during_a_training_is_in_no_table_afterwards",),
    ),
    Defect(
        what="a training publishes what was learned before somebody answered again",
        file="app/training/publishing.py",
        right="if self._versions.get(user) != version]",
        wrong="if user not in self._versions]",
        tests=(
            _DELETIONS,
            f"{_DURABILITY}::test_an_answer_given_while_training_runs_is_in_what_it_publishes",
        ),
    ),
    Defect(
        what="the movies in memory are not checked against the catalog's version",
        file="app/scoring/model_cache.py",
        right="if entry is None or entry[0] != version:",
        wrong="if entry is None:",
        tests=(f"{_DELETIONS}::test_a_new_vector_is_in_the_next_scores",),
    ),
    Defect(
        what="a cached user is not checked against their version",
        file="app/scoring/fast_scores.py",
        right="if entry is None or entry.row != row:",
        wrong="if entry is None:",
        tests=("tests/scoring/test_fast_path.py",),
    ),
    Defect(
        what="an embedding that was relearned before another answer is stored after it",
        file="app/scoring/fold_in.py",
        right='if _VERSION.run(connection, {"user": fold.user}) == [(fold.version,)]:',
        wrong='if _VERSION.run(connection, {"user": one.user}):',
        tests=("tests/database/test_concurrency.py",),
    ),
    Defect(
        what="a key is answered whatever was asked under it",
        file="app/database/idempotency.py",
        right="if row.digest != request.digest:",
        wrong="if len(row.digest) != len(asked.digest):",
        tests=(f"{_KEYS}::test_a_key_that_stood_for_another_request_is_refused_and_nothing_is_done",),
    ),
    Defect(
        what="the body of an import is not in its digest",
        file="app/catalogs/imports/routes.py",
        right="            digest.add(chunk)\n",
        wrong="            pass\n",
        tests=(f"{_KEYS}::test_a_key_that_stood_for_another_request_is_refused_and_nothing_is_done",),
    ),
    Defect(
        what="an answer is committed apart from what was done",
        file="app/database/idempotency.py",
        right="    answer = act()\n",
        wrong="    answer = act()\n    connection.commit()\n    connection.begin()\n",
        tests=(f"{_KEYS}::test_an_answer_and_what_was_done_are_there_together_or_not_at_all",),
    ),
    Defect(
        what="answers are kept for ever",
        file="app/database/idempotency.py",
        right="IdempotencyKey.created_at < now() - keep_seconds",
        wrong="IdempotencyKey.created_at < 0.0 * keep_seconds",
        tests=(f"{_KEYS}::test_an_answer_is_kept_as_long_as_the_setting_says",),
    ),
    Defect(
        what="a dry run keeps its answer",
        file="app/catalogs/imports/process.py",
        right="            connection.rollback()\n",
        wrong="            connection.commit()\n",
        tests=(f"{_KEYS}::test_a_dry_run_keeps_nothing_under_its_key",),
    ),
    # Each of these is for a harness, to be found by the part of it that is among the tests, or by more of it.
    Defect(
        what="kills: a training that is taken up again keeps the steps of the worker that was killed",
        file="app/training/leases.py",
        right="connection.execute(delete(TrainingStep).where(TrainingStep.training_id == training))",
        wrong="_ = delete(TrainingStep)",
        tests=(f"{_PROMISES}[kills]",),
        times=3,  # of ten kills hardly one is of a worker that had taken a training up again
    ),
    Defect(
        what="failpoints: what an import stores is committed apart from its answer",
        file="app/database/idempotency.py",
        right="    answer = act()\n",
        wrong="    answer = act()\n    connection.commit()\n    connection.begin()\n",
        tests=(f"{_PROMISES}[failpoints]",),
        times=3,  # one in twenty failpoints is none of those before the commit of a request with a key
    ),
    Defect(
        what="clients: a cached user is not checked against their version",
        file="app/scoring/fast_scores.py",
        right="if entry is None or entry.row != row:",
        wrong="if entry is None:",
        tests=(f"{_PROMISES}[clients]",),
    ),
    Defect(
        what="races: the fencing token of a write is not checked",
        file="app/training/leases.py",
        right=".where(Training.id == lease.training, Training.token == lease.token, Training.status ==",
        wrong=".where(Training.id == lease.training, Training.status ==",
        tests=(f"{_PROMISES}[races]",),
        times=5,  # in two races it can happen that no worker is frozen with a lease
    ),
    Defect(
        what="deletions: the movies in memory are not checked against the catalog's version",
        file="app/scoring/model_cache.py",
        right="if entry is None or entry[0] != version:",
        wrong="if entry is None:",
        tests=(f"{_PROMISES}[deletions]",),
    ),
    Defect(
        what="soak: a writer takes the write lock with its first write, not before it reads",
        file="app/database/sqlite.py",
        right='execution_options(begin="IMMEDIATE")',
        wrong='execution_options(begin="DEFERRED")',
        tests=("tests/harnesses/test_faults.py::test_a_part_of_the_soak_grows_and_loses_nothing",),
        times=2,  # a minute; the tests leave the soak out
    ),
)
