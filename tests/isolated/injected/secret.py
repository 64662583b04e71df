"""What an operator keeps in `config/.env`, and nobody should find elsewhere."""

SECRET_KEY = "REPORTING_API_TOKEN"
SECRET = "zW7kQ2rT9xLm4VbN8cYd"
