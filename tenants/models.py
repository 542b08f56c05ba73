"""Tenants, their people, their API keys, their data keys and their sealed values.

The tables, their rules and their indexes are stated in `sql/schema.sql`; these classes only read and write them.
"""

from __future__ import annotations

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now


class Installation(models.Model):
    id = models.SmallIntegerField(primary_key=True)
    root_key_fingerprint = models.TextField()
    key_changes = models.BigIntegerField(default=0)
    audit_key = models.BinaryField(null=True)
    login_key = models.BinaryField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "installation"


class Plan(models.Model):
    name = models.TextField(primary_key=True)
    quotas = models.JSONField(default=dict)

    class Meta:
        db_table = "plan"

    def __str__(self) -> str:
        return self.name


class HealthReport(models.Model):
    id = models.SmallIntegerField(primary_key=True)
    findings = models.JSONField(null=True)
    examined_at = models.DateTimeField(null=True)
    wanted_at = models.DateTimeField(null=True)
    taken_at = models.DateTimeField(null=True)
    failure = models.TextField(null=True)

    class Meta:
        db_table = "health_report"


class Tenant(models.Model):
    id = models.UUIDField(primary_key=True)
    name = models.TextField(unique=True)
    status = models.TextField(default="active")
    weight = models.IntegerField(default=1)
    # What holds: `plans.py` computes it from the two below.
    quotas = models.JSONField(default=dict)
    plan = models.TextField(null=True)
    own_quotas = models.JSONField(default=dict)
    min_open_version = models.IntegerField(default=1)
    require_mfa = models.BooleanField(default=False)
    created_at = models.DateTimeField(db_default=Now())
    erased_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "tenant"

    def __str__(self) -> str:
        return self.name


class Member(models.Model):
    id = models.UUIDField(primary_key=True)
    tenant_id = models.UUIDField()
    email = models.TextField()
    role = models.TextField()
    may_read_payloads = models.BooleanField(default=False)
    status = models.TextField(default="invited")
    invitation_hash = models.BinaryField(null=True)
    invitation_expires_at = models.DateTimeField(null=True)
    account_id = models.UUIDField(null=True)
    last_seen_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "member"

    def __str__(self) -> str:
        return self.email


class Account(AbstractBaseUser):
    """A person's login, of no tenant. Which tenants they are a member of, `standing.py` tells."""

    id = models.UUIDField(primary_key=True)
    email = models.TextField(unique=True)
    password = models.TextField()
    is_staff = models.BooleanField(default=False)
    reset_hash = models.BinaryField(null=True)
    reset_expires_at = models.DateTimeField(null=True)
    reset_is_printed = models.BooleanField(default=False)
    # Raised with every change of its password or factors: see `login_sessions.py`.
    login_epoch = models.BigIntegerField(db_default=0)
    created_at = models.DateTimeField(db_default=Now())
    # Not kept: the sessions tell when somebody was here.
    last_login = None

    USERNAME_FIELD = "email"

    class Meta:
        db_table = "account"

    def __str__(self) -> str:
        return self.email


class LoginThrottle(models.Model):
    key = models.TextField(primary_key=True)
    used_until = models.DateTimeField()

    class Meta:
        db_table = "login_throttle"


class LoginSession(models.Model):
    key_hash = models.TextField(primary_key=True)
    account_id = models.UUIDField(null=True)
    data = models.JSONField(default=dict)
    address = models.TextField(null=True)
    user_agent = models.TextField(null=True)
    login_epoch = models.BigIntegerField(null=True)
    created_at = models.DateTimeField(db_default=Now())
    last_seen_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()

    class Meta:
        db_table = "login_session"


class DataKey(models.Model):
    id = models.UUIDField(primary_key=True)
    tenant_id = models.UUIDField()
    purpose = models.TextField()
    version = models.IntegerField()
    wrapped = models.BinaryField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "data_key"


class ApiKey(models.Model):
    id = models.UUIDField(primary_key=True)
    tenant_id = models.UUIDField()
    name = models.TextField()
    lookup_id = models.TextField(unique=True)
    secret_hash = models.BinaryField()
    scopes = ArrayField(models.TextField())
    queues = ArrayField(models.TextField(), null=True)
    cidrs = ArrayField(models.TextField(), null=True)
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)
    rotated_at = models.DateTimeField(null=True)
    previous_secret_hash = models.BinaryField(null=True)
    previous_valid_until = models.DateTimeField(null=True)

    class Meta:
        db_table = "api_key"

    def __str__(self) -> str:
        return self.name


class SigningSecret(models.Model):
    id = models.UUIDField(primary_key=True)
    tenant_id = models.UUIDField()
    name = models.TextField(default="default")
    sealed = models.BinaryField()
    created_at = models.DateTimeField(db_default=Now())
    valid_until = models.DateTimeField(null=True)

    class Meta:
        db_table = "signing_secret"


class Blob(models.Model):
    id = models.UUIDField(primary_key=True)
    tenant_id = models.UUIDField()
    kind = models.TextField()
    epoch = models.BigIntegerField(null=True)
    sealed = models.BinaryField()

    class Meta:
        db_table = "blob"


class AuditHead(models.Model):
    tenant_id = models.UUIDField(primary_key=True)
    seq = models.BigIntegerField(default=0)
    hash = models.BinaryField()
    signature = models.BinaryField(null=True)

    class Meta:
        db_table = "audit_head"


class AuditEvent(models.Model):
    id = models.UUIDField(primary_key=True)
    tenant_id = models.UUIDField()
    seq = models.BigIntegerField()
    at = models.DateTimeField()
    actor_type = models.TextField()
    actor_id = models.TextField()
    command = models.TextField(null=True)
    action = models.TextField()
    object_type = models.TextField()
    object_id = models.TextField()
    # JSON, as it was hashed.
    before = models.TextField(null=True)
    after = models.TextField(null=True)
    address = models.TextField(null=True)
    request_id = models.TextField(null=True)
    hash = models.BinaryField()

    class Meta:
        db_table = "audit_event"
