"""The compiled pipelines, committed: what is uploaded to KFP is what runs on one machine."""
