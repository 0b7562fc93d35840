"""Tests of personal data: generated sets with known answers, oracles, hostile input."""
