"""What stands between the network and Streamlit: which hosts are answered, with which headers, how much is uploaded."""
