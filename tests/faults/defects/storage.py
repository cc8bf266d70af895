"""Defects of backups, verification, the database's files, full disks and the rule for SQLite's versions."""

from tests.faults.defects.defect import Defect

_BACKUPS = "tests/operations/test_backups.py::"
_VERIFICATION = "tests/operations/test_verification.py::"
_FAULTS = "tests/database/test_storage_faults.py::"
_VERSIONS = "tests/database/test_sqlite_versions.py::"
_HARNESSES = "tests/harnesses/test_storage_harnesses.py::"

DEFECTS = (
    Defect(
        what="a backup has its name before it is on disk",
        file="app/operations/backups.py",
        right="        _sync(copy)\n        yield copy",
        wrong="        yield copy",
        tests=(f"{_BACKUPS}test_a_backup_is_durable_before_it_has_its_name",),
    ),
    Defect(
        what="a backup takes the place of a file that came meanwhile",
        file="app/operations/backups.py",
        right="        os.link(copy, target)",
        wrong="        copy.replace(target)",
        tests=(f"{_BACKUPS}test_a_file_that_came_meanwhile_is_left_as_it_is",),
    ),
    Defect(
        what="a backup that fails leaves its half behind",
        file="app/operations/backups.py",
        right="        copy.unlink(missing_ok=True)",
        wrong="        pass",
        tests=(f"{_BACKUPS}test_a_backup_that_fails_leaves_nothing",),
    ),
    Defect(
        what="a database is replaced under a running service",
        file="app/operations/backups.py",
        right="            with _alone(target):",
        wrong="            with suppress(Conflict):",
        tests=(f"{_BACKUPS}test_a_database_in_use_is_not_replaced",),
    ),
    Defect(
        what="what is in the log of the old database comes into the new one",
        file="app/operations/backups.py",
        right='        connection.execute("PRAGMA journal_mode = DELETE")',
        wrong="        yield\n        return",
        tests=(f"{_BACKUPS}test_what_a_killed_service_left_in_its_log_does_not_come_back",),
    ),
    Defect(
        what="a log without its database is taken for the new one's",
        file="app/operations/backups.py",
        right="            _put_aside(beside(target))  #",
        wrong="            _put_aside([])  #",
        tests=(f"{_BACKUPS}test_a_log_without_its_database_does_not_come_back_either",),
    ),
    Defect(
        what="a backup with faults is restored",
        file="app/operations/backups.py",
        right='    _check(report, f"{backup} has faults',
        wrong='    _check(Report(), f"{backup} has faults',
        tests=(f"{_BACKUPS}test_a_backup_with_faults_is_not_restored",),
    ),
    Defect(
        what="others may read a new database",
        file="app/database/sqlite.py",
        right="PRIVATE = 0o600",
        wrong="PRIVATE = 0o644",
        tests=(f"{_BACKUPS}test_a_new_database_and_its_files_are_for_their_owner_only",),
    ),
    Defect(
        what="verification passes numbers that are not finite",
        file="app/database/vectors.py",
        right=' if np.isfinite(from_bytes(data)).all() else "has numbers that are not finite"',
        wrong="",
        tests=(f"{_VERIFICATION}test_each_fault_is_named",),
    ),
    Defect(
        what="the digest of what was learned is not taken again",
        file="app/operations/stored_digests.py",
        right='_Digest("learned", _same_rows,',
        wrong='_Digest("learned", lambda *_: False,',
        tests=(f"{_VERIFICATION}test_each_fault_is_named",),
    ),
    Defect(
        what="a digest is taken of what has changed since",
        file="app/operations/stored_digests.py",
        right='    if _digest_users(users) != training.digests["users"]:',
        wrong="    if not users:",
        tests=(f"{_VERIFICATION}test_digests_are_left_alone_when_what_they_were_of_has_changed",),
    ),
    Defect(
        what="a full disk is taken for any I/O error",
        file="app/database/sqlite.py",
        right="== find_driver().SQLITE_FULL",
        wrong="== find_driver().SQLITE_NOMEM",
        tests=(f"{_FAULTS}test_no_space_is_507_reads_go_on_and_writes_when_there_is_space_again",),
    ),
    Defect(
        what="a full temporary folder is answered as a bug",
        file="app/catalogs/imports/routes.py",
        right="    except OSError as error:",
        wrong="    except ConnectionError as error:",
        tests=(f"{_FAULTS}test_no_space_for_the_file_of_an_import_is_507",),
    ),
    Defect(
        what="an affected SQLite counts as repaired",
        file="app/database/sqlite.py",
        right="_FIXED = (3, 51, 3)",
        wrong="_FIXED = (3, 51, 2)",
        tests=(f"{_VERSIONS}test_an_affected_version_may_not",),
    ),
    Defect(
        what="several web processes do not count as several writers",
        file="app/cli/main.py",
        right="    if worker or settings.import_processes or settings.web_processes > 1:",
        wrong="    if worker:",
        tests=(f"{_VERSIONS}test_several_writers_are_refused_on_an_affected_version",),
    ),
    # Each of these is for a harness, to be found by the part of it that is among the tests, or by more of it.
    Defect(
        what="disks: an error of the disk is answered as a bug",
        file="app/database/sqlite.py",
        right="if type(error) not in {find_driver().DatabaseError, find_driver().OperationalError}:",
        wrong="if type(error) is not find_driver().DatabaseError:",
        tests=(f"{_HARNESSES}test_disks_that_are_full_or_fail_lose_nothing",),
    ),
    Defect(
        what="backups: a backup is the file without its log",
        file="app/operations/backups.py",
        right='            reading.execute("VACUUM INTO ?", (str(copy),))',
        wrong="            copy.write_bytes(source.read_bytes())",
        tests=(f"{_HARNESSES}test_backups_under_writes_and_migrations_lose_nothing",),
    ),
)
