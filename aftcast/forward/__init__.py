"""Delivers alerts from the topic to where people look: Alertmanager, Slack, PagerDuty, any webhook."""
