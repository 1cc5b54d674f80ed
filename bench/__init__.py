"""Exams and benchmarks: run by hand, never by the test suite for time or score."""
