"""Tells a person what is wrong, without being asked."""

from bitbylaw_pipeline.orchestration.alert_sensor import build_alert_sensor

alerts = build_alert_sensor()
