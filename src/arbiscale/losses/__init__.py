"""Losses: functions of tensors, and frozen networks; always in float32."""
