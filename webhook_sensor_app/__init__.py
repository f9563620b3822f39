"""The receiver of webhooks: stores which records may have changed, and answers after the commit.

It knows the inbox and the settings, never Dagster: its link to the rest is the work queue's table. Beside the webhooks it
has the proxy by which the firm's own programs reach Advoware.
"""
