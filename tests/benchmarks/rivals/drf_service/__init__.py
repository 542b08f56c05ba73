"""The same service as its users build it first: Django, REST framework, Celery, a row per job, a signed callback."""
