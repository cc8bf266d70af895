"""API keys: who may send a request. Does not know what a request does.

api_keys.py    create, list, revoke and check keys
tokens.py      a key as text
routes.py      the route class that checks a key and its scope
"""
