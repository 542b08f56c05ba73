"""The rival's one address: validate, insert, delay."""

from __future__ import annotations

from django.urls import path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tests.benchmarks.rivals.drf_service.celery import run_task
from tests.benchmarks.rivals.drf_service.models import Task


class TaskSerializer(serializers.Serializer[Task]):
    type = serializers.ChoiceField(choices=["echo"])
    payload = serializers.JSONField(default=None)
    callback_url = serializers.URLField(max_length=2048, default=None)


class SubmitTask(APIView):
    def post(self, request: Request) -> Response:
        serializer = TaskSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        task = Task.objects.create(**serializer.validated_data)
        run_task.delay(str(task.id))
        answer = {"id": str(task.id), "type": task.type, "state": task.state, "created_at": task.created_at}
        return Response(answer, status=201, headers={"Location": f"/v1/jobs/{task.id}"})


urlpatterns = [path("v1/jobs", SubmitTask.as_view())]
