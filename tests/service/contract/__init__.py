"""One contract for each port; twin and real adapter pass the same test."""
