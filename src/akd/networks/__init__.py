"""Networks: plain architectures, teachers and their files, students to a budget, what a network costs and shows."""
