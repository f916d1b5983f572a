"""KFP pipelines that join the components: compile, run locally, submit."""
