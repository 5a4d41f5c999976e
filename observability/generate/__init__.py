"""Dashboards, rules and alarms for other systems, made from what the enabled plugins declare."""
