"""The addresses of the inbox, under `/dev/`: where it is called, and a short one for people."""

from django.urls import path

from tenants.console.inbox_door import receive_callback, show_inbox

urlpatterns = [path("inbox", show_inbox), path("inbox/<str:tenant_id>/<str:word>", receive_callback)]
