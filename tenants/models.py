"""Tenants, their people, their API keys, their data keys and their sealed values.

The tables, their rules and their indexes are stated in `sql/schema.sql`; these classes only read and write them.
"""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now


class Installation(models.Model):
    id = models.SmallIntegerField(primary_key=True)
    root_key_fingerprint = models.TextField()
    key_changes = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "installation"


class Tenant(models.Model):
    id = models.UUIDField(primary_key=True)
    name = models.TextField(unique=True)
    status = models.TextField(default="active")
    weight = models.IntegerField(default=1)
    quotas = models.JSONField(default=dict)
    min_open_version = models.IntegerField(default=1)
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
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "member"

    def __str__(self) -> str:
        return self.email


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
