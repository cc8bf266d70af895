"""Logs, metrics and traces. Does not know what is worth observing.

logs.py                log lines, without messages of exceptions and without keys
metrics.py             Prometheus metrics of a web process
database_metrics.py    Prometheus metrics read from the database
tracing.py             spans, and their export by OpenTelemetry
"""
