"""The console, a page that uses the API as any other client does.

routes.py    / and /console/{file}
static/      its HTML, CSS and JavaScript
"""
