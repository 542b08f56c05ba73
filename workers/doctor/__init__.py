"""`manage.py doctor`: looks at a running service from outside and says what is wrong and what mends it.

The checks write nothing.

`examination.py` lists the checks; each family of checks has a file. A check reads as the role whose grants suffice.
"""
