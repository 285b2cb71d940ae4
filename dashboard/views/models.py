from dashboard.models.page import page

page()
