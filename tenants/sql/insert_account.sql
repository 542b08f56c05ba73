-- Make an account, unless its address has one. Index: the unique constraint of account.email.
INSERT INTO account (id, email, password) VALUES (%(id)s, %(email)s, %(password)s)
ON CONFLICT (email) DO NOTHING
RETURNING id
