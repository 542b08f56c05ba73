"""`manage.py up`: one process that starts, watches, restarts and stops everything a single machine needs.

It knows neither Django nor the domain: its children are commands, its database is reached with psycopg.
"""
